"""benchmarks/gpu_kernel_code.py tells the loops of a kernel apart wherever its blocks stand."""

from __future__ import annotations

import importlib

import pytest

#: Two loops in each other, each with its end before its head, as ptxas and LLVM like to place them.
INTERLEAVED = """
.visible .entry _kernel(
	.param .u64 _kernel_param_0
)
{
	.reg .f64 	%rd<9>;
	ld.param.b64 	%rd1, [_kernel_param_0];
	@%p1 bra 	$L__BB0_9;
	bra.uni 	$L__BB0_2;
$L__BB0_8:
	mul.rn.f64 	%rd2, %rd2, %rd2;
	add.rn.f64 	%rd2, %rd2, %rd2;
	@!%p2 bra 	$L__BB0_9;
$L__BB0_2:
	// begin inline asm
	mov.u64 %rd3, 0x0; ld.global.b64 { %rd3 }, [ %rd1 + 0 ];
	// end inline asm
	@!%p3 bra 	$L__BB0_8;
	bra.uni 	$L__BB0_4;
$L__BB0_7:
	fma.rn.f64 	%rd4, %rd4, %rd4, %rd4;
	@!%p4 bra 	$L__BB0_8;
$L__BB0_4:
	rsqrt.approx.f64 	%rd4, %rd3;
	@%p5 bra 	$L__BB0_7;
	sub.rn.f64 	%rd4, %rd4, %rd3;
	neg.f64 	%rd4, %rd4;
	bra.uni 	$L__BB0_7;
$L__BB0_9:
	min.f64 	%rd5, %rd2, %rd1;
	ret;
}
"""
BESIDE = """
.visible .entry _kernel(
)
{
$L__BB0_1:
	@%p1 bra 	$L__BB0_1;
$L__BB0_2:
	@%p2 bra 	$L__BB0_2;
	ret;
}
"""


@pytest.fixture
def kernel_code(project_root, monkeypatch):
    monkeypatch.syspath_prepend(str(project_root / "benchmarks"))
    return importlib.import_module("gpu_kernel_code")


def test_loops_whose_blocks_are_interleaved_are_told_apart(kernel_code):
    outside, outer, inner = kernel_code.loops(INTERLEAVED, "_kernel")
    assert (outside.arithmetic, outside.special, outside.loads) == (1, 0, 0)
    assert (outer.arithmetic, outer.special, outer.loads) == (2, 0, 1)
    assert (inner.arithmetic, inner.special, inner.loads) == (3, 1, 0)


def test_loops_beside_each_other_are_refused(kernel_code):
    with pytest.raises(ValueError, match="not nested"):
        kernel_code.loops(BESIDE, "_kernel")
