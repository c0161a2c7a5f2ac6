"""`scfx cite`: what to cite, as BibTeX."""

from __future__ import annotations

import click

import scfx

_BIBTEX = """\
% scfx names no authors and has no address and no date of publication, so that its entry has none: give the version,
% and cite the paper, whose method it is.
@software{{scfx,
  title   = {{scfx: Kohn-Sham and Hartree-Fock labels for small molecules}},
  author  = {{{{scfx}}}},
  version = {{{version}}},
  note    = {{Re-implements and extends the method of \\cite{{mathiasen2023qm1b}}}}
}}

@inproceedings{{mathiasen2023qm1b,
  title         = {{Generating {{QM1B}} with {{PySCF}}$_{{\\text{{IPU}}}}$}},
  author        = {{Mathiasen, Alexander and Helal, Hatem and Klaser, Kerstin and Balanca, Paul and Dean, Josef and
                   Luschi, Carlo and Beaini, Dominique and Fitzgibbon, Andrew and Masters, Dominic}},
  booktitle     = {{Advances in Neural Information Processing Systems 36, Datasets and Benchmarks Track}},
  year          = {{2023}},
  eprint        = {{2311.01135}},
  archivePrefix = {{arXiv}},
  url           = {{https://arxiv.org/abs/2311.01135}}
}}

@article{{sun2020pyscf,
  title   = {{Recent developments in the {{PySCF}} program package}},
  author  = {{Sun, Qiming and Zhang, Xing and Banerjee, Samragni and Bao, Peng and Barbry, Marc and others}},
  journal = {{The Journal of Chemical Physics}},
  volume  = {{153}},
  number  = {{2}},
  pages   = {{024109}},
  year    = {{2020}},
  doi     = {{10.1063/5.0006074}}
}}

@article{{sun2015libcint,
  title   = {{Libcint: An efficient general integral library for {{Gaussian}} basis functions}},
  author  = {{Sun, Qiming}},
  journal = {{Journal of Computational Chemistry}},
  volume  = {{36}},
  number  = {{22}},
  pages   = {{1664--1671}},
  year    = {{2015}},
  doi     = {{10.1002/jcc.23981}}
}}

@software{{jax2018github,
  title  = {{{{JAX}}: composable transformations of {{Python}}+{{NumPy}} programs}},
  author = {{Bradbury, James and Frostig, Roy and Hawkins, Peter and Johnson, Matthew James and Leary, Chris and
            Maclaurin, Dougal and Necula, George and Paszke, Adam and VanderPlas, Jake and Wanderman-Milne, Skye and
            Zhang, Qiao}},
  url    = {{https://github.com/jax-ml/jax}},
  year   = {{2018}}
}}"""


@click.command(short_help="What to cite, as BibTeX.")
def cite() -> None:
    """Print BibTeX for scfx, the paper it builds on, PySCF, libcint and JAX.

    Where the project has no author, year or address to give, the output says so. Cite
    also the functional and the basis set that you used.
    """
    click.echo(_BIBTEX.format(version=scfx.__version__))
