"""Whether a predictor hosts models that are loaded while it runs; asked by `reconcile`."""

from shoal.api.inferenceservices import InferenceService
from shoal.runtimes.servers import Server


def is_host(
    service: InferenceService, server: Server, *, named_by_model: bool, already: bool
) -> bool:
    """Tell whether the predictor's pods get an agent.

    A predictor with storage of its own never is, nor one whose server holds one model. Else it
    is by upstream's rule (contract §5.1), or as soon as a TrainedModel names it (W1), or when it
    is one `already`, by the annotation on its Deployment: deleting the last model must roll no
    pod.
    """
    if service.spec.predictor.has_storage or server.holds_one:
        return False
    return named_by_model or already or server.takes_models
