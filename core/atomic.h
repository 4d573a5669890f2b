/*
 * Atomic accesses with the order in the name.  Plain assignment to a shared
 * field never appears in core; a field that needs none of these says what
 * protects it.
 */
#ifndef CORE_ATOMIC_H
#define CORE_ATOMIC_H

#define load_rlx(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acq(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_rlx(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_rel(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define xchg_acqrel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define xadd_rlx(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define xadd_acqrel(p, v) __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)

/* True when *p was old and is now new. */
#define cas_acqrel(p, old, new)                                                \
	({                                                                     \
		__typeof__(*(p)) expected_ = (old);                            \
		__atomic_compare_exchange_n((p), &expected_, (new), 0,         \
		    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);                       \
	})

/* Orders earlier stores of this thread before its later loads. */
#define fence_full() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* Keeps the compiler from moving accesses; no instruction. */
#define barrier() __asm__ volatile("" ::: "memory")

#endif
