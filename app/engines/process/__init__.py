"""The process engine: jobs as plain child processes, for trying Jobyard out and for trusted code. No
isolation.

A container is a directory below the installation's root; a supervisor owns its process, so that it outlives a
server:

    <root>/<key>/spec.json   what runs          lock      held by the supervisor as long as it lives
                 output      frames, see        started   made exclusively, before the process: at most one
                 start `supervisor`       exit.json how it ended control     a FIFO: T, K       home/     its
                 HOME                     work/     where it works, a copy of the image's tree
"""

from app.engines.process.engine import ProcessEngine

__all__ = ["ProcessEngine"]
