"""The rules of `machines`, driven by Hypothesis, which makes what it finds shorter.

`python fuzz/hypothesis_states.py --examples 200`, or the class `State` in a test.
"""

import argparse

import machines
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

# most of their time goes into the oracle's answers, and of that nobody can say how long it takes
SETTINGS = settings(
    deadline=None, stateful_step_count=20, database=None,
    suppress_health_check=list(HealthCheck), print_blob=True,
)  # fmt: skip


def state_of(machine_class=machines.Machine):
    """A Hypothesis state machine that has the rules of this class."""

    class State(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.machine = machine_class()

        def teardown(self):
            self.machine.close()

    for name in machines.rules(machine_class)[0]:

        def call(self, random, name=name):
            getattr(self.machine, name)(random)

        call.__name__ = name
        setattr(State, name, rule(random=st.randoms(use_true_random=False))(call))
    return State


State = state_of()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=100)
    options = parser.parse_args()
    run_state_machine_as_test(State, settings=settings(SETTINGS, max_examples=options.examples))


if __name__ == "__main__":
    main()
