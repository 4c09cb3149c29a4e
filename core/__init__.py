"""MGMT Lab's engine: read a brain-MR cohort, prepare it, train, evaluate, predict and explain.

Nothing in this package knows that an app exists. Follow one scan from file to map::

    data.cohort.scan_cohort -> data.volume.read_volume -> data.prepare.slices.prepare_volumes
      -> training.loop.fit -> models.checkpoint -> inference.predict.Predictor.predict -> explain.cam.explain
"""

__version__ = "0.1.0"
