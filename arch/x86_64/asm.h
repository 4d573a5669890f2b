/* The two macros of the assembly files.  Symbols are hidden: see 2.1 of the ELF ABI. */
#define FUNC(name)                                                             \
	.globl name;                                                           \
	.hidden name;                                                          \
	.type name, @function;                                                 \
	.p2align 4;                                                            \
	name:;                                                                 \
	.cfi_startproc

#define END(name)                                                              \
	.cfi_endproc;                                                          \
	.size name, . - name
