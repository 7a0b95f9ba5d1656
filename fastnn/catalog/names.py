"""What other libraries call things, so that errors can say what it is called here."""

# keywords and classes, in lower case -> ours, of which the first that is known somewhere is meant
OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "lr": ("learning_rate_init",),
    "learning_rate": ("learning_rate_init",),
    "weight_decay": ("alpha",),
    "l2_penalty": ("alpha",),
    "optimizer": ("solver",),
    "epochs": ("max_iter",),
    "n_epochs": ("max_iter",),
    "num_epochs": ("max_iter",),
    "n_iter": ("max_iter",),
    "callbacks": ("callback", "set_callbacks"),
    "callback": ("set_callbacks",),
    "nesterov": ("nesterovs_momentum",),
    "eps": ("epsilon",),
    "layers": ("layer_units", "hidden_layer_sizes"),
    "hidden_layers": ("layer_units", "hidden_layer_sizes"),
    "hidden_layer_sizes": ("layer_units",),
    "layer_units": ("hidden_layer_sizes",),
    "output_activation": ("out_activation",),
    "act_f": ("activation",),
    "criterion": ("loss",),
    "initializer": ("init",),
    "xavier": ("glorot",),
    "kaiming": ("he",),
    "leakyrelu": ("leaky_relu",),
    "seed": ("random_state",),
    "rng": ("random_state",),
    "n_threads": ("n_jobs",),
    "num_threads": ("n_jobs",),
    "patience": ("n_iter_no_change",),
    "earlystopping": ("ValidationLoss",),
    "tqdm": ("ProgressBar",),
}

# what is like the name of something here and is another thing -> where it is, if anywhere
NOT_HERE: dict[str, str] = {
    **{
        name: f"; fastnn.MLPClassifier and fastnn.MLPRegressor have {name!r}"
        for name in ("invscaling", "adaptive")
    },
    **dict.fromkeys(("adamax", "adagrad", "adadelta"), ""),
    **dict.fromkeys(("celu", "prelu", "relu6", "hard_sigmoid", "hard_swish", "glu"), ""),
    **dict.fromkeys(("mape", "hinge", "smooth_l1", "tweedie"), ""),
}
