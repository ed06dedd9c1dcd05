"""Loading beside the event loop, so that no other model's request waits for it."""

import asyncio

from mlserver.errors import MLServerError
from mlserver.model import MLModel


class LoadsInThread(MLModel):
    """Put before one of MLServer's classes: loads by that class, in a thread."""

    async def load(self) -> bool:
        """Load.

        Raises:
            MLServerError: what the library said, in one sentence instead of a traceback.
        """
        load = super().load
        try:
            return await asyncio.to_thread(lambda: asyncio.run(load()))
        except MLServerError:
            raise
        except Exception as error:  # a model file is a program: anything can come
            uri = self.settings.parameters.uri if self.settings.parameters else self.name
            said = " ".join(str(error).partition("Stack trace")[0].split())  # XGBoost adds one
            raise MLServerError(f"{uri}: {type(error).__name__}: {said}", 500) from error
