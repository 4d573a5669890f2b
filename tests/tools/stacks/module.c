/* Comes and goes; its caller goes on from inside it. */
void module_calls(void (*fn)(void));

void
module_calls(void (*fn)(void))
{
	volatile int frame[32];

	frame[0] = 1;
	fn();
	frame[1] = frame[0];
}
