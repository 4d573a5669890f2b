/* Static TLS (initial-exec): lives in every thread's own static block. */
#define NUMBER 1234567
#define BIG 8
#include "image.h"
