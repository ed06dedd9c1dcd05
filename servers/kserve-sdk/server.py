"""The KServe SDK's model server over folders that an agent fills while it runs.

    python server.py --model_dir /mnt/models --http_port 8080
    python server.py --model_dir /mnt/models --http_port 8080 --model_name iris

Models are loaded in a thread: the SDK's own repository loads in the event loop, where every
other model's requests wait for it. Until a model is loaded the one before it answers.
"""

import argparse
import asyncio
import logging
from pathlib import Path

import kserve
from kserve import model_server

import models

# Three lines for each request, and the agent asks for models all the time.
_CHATTY = ("kserve.trace", "uvicorn.access")


class FolderRepository(kserve.ModelRepository):
    """Model `m` is what the folder `m` holds when a load is asked for."""

    async def load(self, name: str) -> bool:
        """Load a model, or load it again.

        Raises:
            Exception: why it cannot be; the SDK turns it into its answer.
        """
        self.update(await asyncio.to_thread(models.load, name, Path(self.models_dir) / name))
        return True

    def unload(self, name: str) -> None:
        """Forget a model.

        Raises:
            KeyError: there is none.
        """
        del self.models[name]


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.set_defaults(model_name="")
    parser.add_argument("--model_dir", default=kserve.model_repository.MODEL_MOUNT_DIRS)
    options, _ = parser.parse_known_args()
    repository = FolderRepository(options.model_dir)
    if options.model_name:  # the whole folder is this one, and nothing is served without it
        repository.update(models.load(options.model_name, Path(options.model_dir)))
    server = kserve.ModelServer(registered_models=repository, enable_latency_logging=False)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    server.start([])


if __name__ == "__main__":
    main()
