/* Dynamic TLS (global-dynamic): each thread's block is made when first used. */
#define NUMBER 1234567
#define BIG (64 << 10)
#include "image.h"
