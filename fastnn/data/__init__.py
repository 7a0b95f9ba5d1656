"""What goes into a network: `rows` as kernels read them, `checks` that refuse everything else."""
