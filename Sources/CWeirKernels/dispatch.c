#include "weir_kernels.h"
