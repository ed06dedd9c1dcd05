"""Whether a service's pods are as they would be made now, and if not, why not. Pure.

Called by `plans`.
"""

from collections.abc import Iterable

from shoal.cluster import kinds
from shoal.cluster.ports import Body
from shoal.desired import deployments
from shoal.desired.wanted import Wanted
from shoal.errors import ReconcileError, StalledError
from shoal.reasons import Reason


def outdated(wanted: Wanted, made: Iterable[Body]) -> ReconcileError | None:
    """Say what the pods do not have yet; None where they have it all, or there are none."""
    for body in made:
        if body["kind"] == kinds.DEPLOYMENT.kind and (keys := deployments.behind(wanted, body)):
            return StalledError(
                Reason.OUTDATED,
                f"The pods were made before {', '.join(keys)} of the InferenceService's metadata"
                " changed, and follow when they are made anew for another reason; what they are"
                " to have at once belongs into spec.predictor.labels or annotations.",
            )
    return None
