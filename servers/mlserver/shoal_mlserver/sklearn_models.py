"""scikit-learn's models; imported when the first of them is loaded."""

import mlserver_sklearn

from shoal_mlserver.threads import LoadsInThread


class SKLearnModel(LoadsInThread, mlserver_sklearn.SKLearnModel):
    """MLServer's own, loaded in a thread."""
