// C kernels of Weir: one table of function pointers per instruction set.
#ifndef WEIR_KERNELS_H
#define WEIR_KERNELS_H
#include <stddef.h>
#include <stdint.h>
#endif
