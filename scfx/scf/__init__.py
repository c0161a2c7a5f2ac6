"""The SCF procedure, one method a file: guess, fock, diis, occupation, step, recovery, driver."""
