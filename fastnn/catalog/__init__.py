"""What exists: one table row for each activation, loss, solver and record field; no arithmetic.

Checks, error messages, the command line, initializers, displays, documentation tables and the
tests' lists of cases all come from these rows. `kernels` and `reference` use the same codes; a
test compares them both ways. This room imports nothing.
"""
