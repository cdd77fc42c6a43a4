"""Trials as processes: a warm parent that has imported everything, and one forked child a trial.

    parent.py   the warm parent: accepts jobs, has a child for each, keeps deadlines, reports how each child ended
    forked.py   a child, from its fork, ahead of its job, to its end
    child.py    what a child does with a Job
    resources.py threads, memory, devices, and dying with one's parent
    pool.py     the driver's side

One connection is one trial: the client writes one JSON line with the job; the child writes the trial's reports and
its outcome to it as JSON lines; the parent adds the exit status and closes it. When the client closes it, the trial is
killed with everything it started.
"""
