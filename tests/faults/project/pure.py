"""A function whose score tells its params apart, and whose trials end in another order than they began."""

import time


def score(params, trial):
    time.sleep(params["x"] / 20)
    value = params["x"] + 10 * params["k"] + 1000 * ord(params["kind"])
    for step in (1, 2):
        trial.report(step, value + step)
    return value
