"""LightGBM's models; imported when the first of them is loaded."""

import mlserver_lightgbm

from shoal_mlserver.threads import LoadsInThread


class LightGBMModel(LoadsInThread, mlserver_lightgbm.LightGBMModel):
    """MLServer's own, loaded in a thread."""
