// What the C interface's functions have in common.
#pragma once
#include <cstdint>

#define SCFX_EXPORT __attribute__((visibility("default")))
