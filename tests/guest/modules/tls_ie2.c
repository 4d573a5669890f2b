/* A second module of static TLS (initial-exec), with other contents. */
#define NUMBER 7654321
#define BIG 8
#include "image.h"
