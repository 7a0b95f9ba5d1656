"""How a network trains: `options` and numbers of a step, `run`, compiled epochs, and `objective`,
the mean loss over all rows."""
