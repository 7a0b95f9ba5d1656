"""Fields of the records that Python, kernels and oracle share.

`kernels` and `reference` make NumPy dtypes of these rows; kernels/records.pxi has them as C
structs. A test compares names, types and offsets.
"""

# (name, NumPy type, meaning)

# In the bytes that kernels read, as many f8 follow the record as its last fields say.

STEP = (
    ("learning_rate", "f8", "the step size"),
    ("alpha", "f8", "strength of the penalty alpha / (2 samples) sum W^2"),
    ("momentum", "f8", "of momentum and nesterov"),
    ("beta_1", "f8", "Adam's decay of its mean of gradients"),
    ("beta_2", "f8", "Adam's decay of its mean of squared gradients"),
    ("epsilon", "f8", "Adam's, added to the root of that mean"),
    ("budget", "f8", "a compiled call returns after about this many multiply-adds"),
    ("weight_decay", "f8", "AdamW's: coefs shrink by this times the learning rate"),
    ("clip_norm", "f8", "gradients longer than this are shortened to it; 0: none are"),
    ("ema", "f8", "decay of the average of parameters; 0: there is none"),
    ("input_noise", "f8", "standard deviation of what is added to inputs while training"),
    ("batch_size", "i8", "samples of a step"),
    ("seed", "i8", "of dropout and noise"),
    ("loss", "i4", "code of the loss"),
    ("solver", "i4", "code of the solver"),
    ("sum_coef_grads", "i4", "the tutorial's arithmetic: coefs by the sum over the batch"),
    ("keep_going", "i4", "scikit-learn's way: go on whatever is not finite"),
    ("n_threads", "i4", "threads of the team"),
    ("decay_intercepts", "i4", "whether weight_decay is for intercepts, too"),
    ("take_back", "i4", "rprop's: whether a step is taken back where a gradient changed its sign"),
    ("reserved", "i4", "0; keeps the record a multiple of 8 bytes"),
    (
        "n_loss_numbers",
        "i4",
        "numbers (f8) after the record: the loss's, one for each output or none",
    ),
    ("n_dropout", "i4", "numbers (f8) after those: share of each layer's units dropped, or none"),
)

CURSOR = (
    ("epoch", "i8", "epochs finished"),
    ("row", "i8", "the present batch's first row + how many of its rounds are done"),
    ("step", "i8", "solver steps ever done (Adam's t)"),
    ("status", "i8", "one of STATUS"),
    ("first", "i8", "the epoch that it began with; written at the start"),
    ("stop", "i8", "epochs after which to finish"),
    ("schedule", "i8", "solver steps that were done before the first row of the schedule"),
    ("last_loss", "f8", "rprop's: the loss before its last step"),
)

STOPPING = (
    ("tol", "f8", "an epoch improves if its loss is lower than the lowest by at least this"),
    ("best_loss", "f8", "the lowest loss of an epoch"),
    ("n_iter_no_change", "f8", "training ends after more epochs in a row that do not improve"),
    ("no_improvement_count", "i8", "those in a row, now"),
    ("finite", "i8", "which row of `kept` the last epoch with a finite loss began with; -1: none"),
)

# what train_epoch leaves in a cursor's status
STATUS = {
    "start": 0,  # set by the caller: pack the parameters first
    "running": 1,  # the budget ran out: call again
    "finished": 2,
    "diverged": 3,  # the loss or a parameter left the finite numbers
    "weightless": 4,  # the weights of a batch add up to 0
}
