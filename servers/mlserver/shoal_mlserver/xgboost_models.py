"""XGBoost's models; imported when the first of them is loaded."""

import mlserver_xgboost

from shoal_mlserver.threads import LoadsInThread


class XGBoostModel(LoadsInThread, mlserver_xgboost.XGBoostModel):
    """MLServer's own, loaded in a thread."""
