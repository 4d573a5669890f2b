/*
 * Detours: a five-byte jump over a function's entry, to a slot near it, which
 * jumps on to the hook.  The instructions under the jump move to the slot, with
 * what is relative to their place adjusted, and a jump to the rest of the
 * function behind them.
 *
 *	fn:	jmp slot		slot:	jmp *hook
 *		rest of fn  <--+	16:	instructions moved from fn
 *			       +-------		jmp rest of fn
 *
 * The decoder knows what compilers put at the beginning of functions; an
 * instruction that it does not know is no reason to guess.
 *
 * Other threads may run in fn meanwhile.  When a single instruction lies under
 * the jump, which is written by one store, they execute either the old one or
 * the new one.  When there are several, a thread might stand between them.
 */
#include <string.h>

#include "arch/arch.h"

#define JUMP 5 /* jmp rel32 */
#define MOVED 16
#define SCAN 256

/* --- decoding ------------------------------------------------------------- */

/* What follows an opcode. */
enum {
	BAD,
	NONE,
	MODRM = 1 << 1,
	IMM8 = 1 << 2,
	IMMZ = 1 << 3, /* 4 bytes, with an operand-size prefix 2 */
	IMMV = 1 << 4, /* mov: 8 bytes with REX.W */
	REL8 = 1 << 5,
	REL32 = 1 << 6,
	ENDS = 1 << 7,
};

/* Of one-byte opcodes from 0x40 on. */
static unsigned
onebyte(uint8_t op, uint8_t reg)
{
	switch (op) {
	case 0x50 ... 0x5f: /* push, pop */
	case 0x90:	    /* nop */
	case 0x98:	    /* cltq */
	case 0x99:	    /* cltd */
	case 0xc9:	    /* leave */
		return NONE;
	case 0x63:	    /* movslq */
	case 0x84 ... 0x8b: /* test, xchg, mov */
	case 0x8d:	    /* lea */
	case 0xd0 ... 0xd3: /* shifts */
		return MODRM;
	case 0x68: /* push */
	case 0xa9: /* test */
		return IMMZ;
	case 0x69: /* imul */
	case 0x81:
		return MODRM | IMMZ;
	case 0x6a: /* push */
	case 0xa8: /* test */
	case 0xb0 ... 0xb7:
		return IMM8;
	case 0x6b: /* imul */
	case 0x80:
	case 0x83:
	case 0xc0 ... 0xc1: /* shifts */
		return MODRM | IMM8;
	case 0x70 ... 0x7f: /* jcc */
		return REL8;
	case 0xb8 ... 0xbf:
		return IMMV;
	case 0xc3: /* ret */
		return ENDS;
	case 0xc6: /* mov; with another reg xabort */
		return reg == 0 ? MODRM | IMM8 : BAD;
	case 0xc7:
		return reg == 0 ? MODRM | IMMZ : BAD;
	case 0xe9: /* jmp */
		return REL32 | ENDS;
	case 0xeb:
		return REL8 | ENDS;
	case 0xf6: /* test, not, neg, mul */
		return reg == 0 ? MODRM | IMM8 : reg == 1 ? BAD : MODRM;
	case 0xf7:
		return reg == 0 ? MODRM | IMMZ : reg == 1 ? BAD : MODRM;
	case 0xfe: /* inc, dec */
		return reg <= 1 ? MODRM : BAD;
	case 0xff: /* the same, push; but no call or jmp */
		return reg <= 1 || reg == 6 ? MODRM : BAD;
	default:
		return BAD;
	}
}

/* Of opcodes after 0x0f. */
static unsigned
twobyte(uint8_t op)
{
	switch (op) {
	case 0x10 ... 0x11: /* movups and kin */
	case 0x1e ... 0x1f: /* endbr64, nop */
	case 0x28 ... 0x29: /* movaps */
	case 0x40 ... 0x4f: /* cmovcc */
	case 0x57:	    /* xorps */
	case 0x6e ... 0x6f: /* movd, movdqa */
	case 0x7e ... 0x7f:
	case 0x90 ... 0x9f: /* setcc */
	case 0xaf:	    /* imul */
	case 0xb0 ... 0xb1: /* cmpxchg */
	case 0xb6 ... 0xb7: /* movzx */
	case 0xbe ... 0xbf: /* movsx */
	case 0xc0 ... 0xc1: /* xadd */
	case 0xd6:	    /* movq */
	case 0xef:	    /* pxor */
		return MODRM;
	case 0xba: /* bt */
		return MODRM | IMM8;
	case 0x80 ... 0x8f: /* jcc */
		return REL32;
	default:
		return BAD;
	}
}

static unsigned
form(bool two, uint8_t op, uint8_t reg)
{
	static const unsigned alu[8] = { MODRM, MODRM, MODRM, MODRM, IMM8, IMMZ,
		BAD, BAD };

	if (two)
		return twobyte(op);
	return op < 0x40 ? alu[op & 7] : onebyte(op, reg);
}

/* Bytes of a ModRM operand at p; *rip as in struct insn, from p on. */
static size_t
modrm(const uint8_t *p, size_t *rip)
{
	uint8_t mod = p[0] >> 6, rm = p[0] & 7;
	size_t n = 1;

	if (mod == 3)
		return n;
	if (mod == 0 && rm == 5)
		*rip = n;
	if (rm == 4 && (p[n++] & 7) == 5 && mod == 0)
		return n + 4;
	if (mod == 1)
		return n + 1;
	return mod == 2 || rm + mod * 8 == 5 ? n + 4 : n;
}

struct insn
detourdecode(const uint8_t *p)
{
	struct insn in = { .cond = NOCOND }, bad = in;
	bool wide = false, small = false, two = false;
	size_t n = 0, at = 0;
	unsigned f;

	/* Operand size, the string prefixes, segments that nops or TLS use. */
	while (n < 6 && memchr("\x66\xf2\xf3\x2e\x64\x65", p[n], 6) != NULL)
		small |= p[n++] == 0x66;
	if ((p[n] & 0xf0) == 0x40)
		wide = (p[n++] & 8) != 0;
	if (p[n] == 0x0f) {
		two = true;
		n++;
	}
	f = form(two, p[n], p[n + 1] >> 3 & 7);
	if (f == BAD)
		return bad;
	if (f & (REL8 | REL32)) {
		if (n != two)
			return bad; /* a prefix changes its meaning */
		in.rel = f & REL8 ? 1 : 4;
		if (!(f & ENDS))
			in.cond = p[n] & 0xf;
	}
	in.ends = (f & ENDS) != 0;
	n++;
	if (f & MODRM) {
		at = n;
		n += modrm(p + n, &in.rip);
		if (in.rip != 0)
			in.rip += at;
	}
	if (f & IMM8)
		in.imm = 1;
	else if (f & IMMV && wide)
		in.imm = 8;
	else if (f & (IMMZ | IMMV))
		in.imm = small && !wide ? 2 : 4;
	in.len = n + in.imm + in.rel;
	return in;
}

/* --- moving --------------------------------------------------------------- */

static int64_t
rel(const uint8_t *p, size_t n)
{
	int32_t v;

	if (n == 1)
		return (int8_t)p[0];
	memcpy(&v, p, sizeof(v));
	return v;
}

/* A displacement at p that leads from next to to; false when it is too far. */
static bool
putrel(uint8_t *p, const uint8_t *next, const uint8_t *to)
{
	int64_t d = (int64_t)((intptr_t)to - (intptr_t)next);
	int32_t v = (int32_t)d;

	if (d != v)
		return false;
	memcpy(p, &v, sizeof(v));
	return true;
}

/*
 * The instruction at p, to be executed at to.  Returns how many bytes it has
 * there, 0 when it cannot be moved; lo and hi are what moves with it.
 */
static size_t
move(const uint8_t *p, const struct insn *in, uint8_t *to, const uint8_t *lo,
    const uint8_t *hi)
{
	const uint8_t *next = p + in->len, *target;
	size_t n = in->len;

	if (in->rel != 0) {
		target = next + rel(next - in->rel, in->rel);
		if (target >= lo && target < hi)
			return 0;
		n = 0;
		if (in->cond != NOCOND) {
			to[n++] = 0x0f;
			to[n++] = 0x80 | in->cond;
		} else {
			to[n++] = 0xe9;
		}
		return putrel(to + n, to + n + 4, target) ? n + 4 : 0;
	}
	memcpy(to, p, n);
	if (in->rip == 0)
		return n;
	target = next + rel(p + in->rip, 4);
	return putrel(to + in->rip, to + n, target) ? n : 0;
}

/*
 * Whether something in the function may be a branch into the middle of what is
 * under the jump.  Looks at every byte: better a branch too many.
 */
static bool
branchedto(const uint8_t *at, size_t len, const uint8_t *end)
{
	const uint8_t *p, *target;

	for (p = at; p < at + SCAN && p + 6 <= end; p++) {
		target = at;
		if ((p[0] & 0xf0) == 0x70 || p[0] == 0xeb ||
		    (p[0] & 0xfc) == 0xe0)
			target = p + 2 + rel(p + 1, 1);
		else if (p[0] == 0xe8 || p[0] == 0xe9)
			target = p + 5 + rel(p + 1, 4);
		else if (p[0] == 0x0f && (p[1] & 0xf0) == 0x80)
			target = p + 6 + rel(p + 2, 4);
		if (target > at && target < at + len)
			return true;
	}
	return false;
}

bool
detourmake(struct detour *d, void *fn, const void *end, const void *hook,
    uint8_t *slot)
{
	static const uint8_t endbr[4] = { 0xf3, 0x0f, 0x1e, 0xfa };
	static const uint8_t indirect[6] = { 0xff, 0x25 };
	uint8_t *at = fn, *to = slot + MOVED;
	size_t len, n = 0, count = 0;
	struct insn in[JUMP];
	const uint8_t *p;

	/* Stays the target of indirect calls. */
	if (memcmp(at, endbr, sizeof(endbr)) == 0)
		at += sizeof(endbr);
	for (len = 0; len < JUMP; len += in[count++].len) {
		in[count] = detourdecode(at + len);
		if (in[count].len == 0)
			return false;
		/* A jump at the very beginning is a detour of somebody's. */
		if (in[count].ends &&
		    (count == 0 || len + in[count].len < JUMP))
			return false;
	}
	if (count > 1 && branchedto(at, len, end))
		return false;
	p = at;
	for (size_t i = 0; i < count; i++) {
		n = move(p, &in[i], to, at, at + len);
		if (n == 0)
			return false;
		p += in[i].len;
		to += n;
	}
	to[0] = 0xe9;
	if (!putrel(to + 1, to + JUMP, at + len))
		return false;
	memcpy(slot, indirect, sizeof(indirect));
	memcpy(slot + sizeof(indirect), &hook, sizeof(hook));
	d->at = at;
	d->jump[0] = 0xe9;
	if (!putrel(d->jump + 1, at + JUMP, slot))
		return false;
	d->original = slot + MOVED;
	/* One store reaches what lies in one aligned word. */
	d->alone = count > 1 || ((uintptr_t)at & 7) > 8 - JUMP;
	return true;
}

void
detourwrite(const struct detour *d)
{
	size_t off = (uintptr_t)d->at & 7;
	uint64_t *word = (uint64_t *)(d->at - off), v[2];

	memcpy(v, word, sizeof(v));
	memcpy((uint8_t *)v + off, d->jump, JUMP);
	if (off > 8 - JUMP)
		__atomic_store_n(word + 1, v[1], __ATOMIC_RELEASE);
	__atomic_store_n(word, v[0], __ATOMIC_RELEASE);
}
