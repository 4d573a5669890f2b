/*
 * Protocol buffers' wire format, as far as a writer of messages needs it: fields are
 * appended to a buffer, messages within messages made first and appended as bytes.
 */
#ifndef TOOLS_TRACE_PROTO_H
#define TOOLS_TRACE_PROTO_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Whoever appends sees to it that it fits. */
struct proto {
	size_t n;
	unsigned char b[512];
};

static inline void
proto_varint(struct proto *p, uint64_t v)
{
	while (v >= 0x80) {
		p->b[p->n++] = (unsigned char)(v | 0x80);
		v >>= 7;
	}
	p->b[p->n++] = (unsigned char)v;
}

static inline void
proto_number(struct proto *p, uint32_t field, uint64_t v)
{
	proto_varint(p, (uint64_t)field << 3);
	proto_varint(p, v);
}

static inline void
proto_fixed64(struct proto *p, uint32_t field, uint64_t v)
{
	int i;

	proto_varint(p, (uint64_t)field << 3 | 1);
	for (i = 0; i < 64; i += 8)
		p->b[p->n++] = (unsigned char)(v >> i);
}

static inline void
proto_bytes(struct proto *p, uint32_t field, const void *b, size_t n)
{
	proto_varint(p, (uint64_t)field << 3 | 2);
	proto_varint(p, n);
	memcpy(p->b + p->n, b, n);
	p->n += n;
}

static inline void
proto_string(struct proto *p, uint32_t field, const char *s)
{
	proto_bytes(p, field, s, strlen(s));
}

static inline void
proto_message(struct proto *p, uint32_t field, const struct proto *m)
{
	proto_bytes(p, field, m->b, m->n);
}

#endif
