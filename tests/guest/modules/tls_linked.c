/* A library that the program is linked with, with TLS of its own. */
__thread int linked_int = 77;
__thread char linked_text[40] = "as linked";
static __thread long hidden;

long linked_count(void);
long
linked_count(void)
{
	return ++hidden;
}
