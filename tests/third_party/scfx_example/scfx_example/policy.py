"""Half the memory for integrals; everything else in float64."""

import scfx

POLICY = scfx.PrecisionPolicy("example-half", integrals="float32")
