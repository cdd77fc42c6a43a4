"""The dashboards of a run, one command away and never open to the network.

guard.py     what stands before a page: Host, Origin, token, read-only
pages.py     optuna-dashboard and TensorBoard, served by this process
engines.py   the pages that a running backend has of its own: NNI's and Ray's
beside.py    these two in a process of their own, beside a search
show.py      the command: starts what fits the run, prints the addresses, ends it all on Ctrl-C
"""
