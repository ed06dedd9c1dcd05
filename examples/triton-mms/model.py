"""A model for Triton's python backend: the class whose mean picture is the nearest."""

from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    """What the backend looks for, by this name."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the means of all classes: one row each."""
        folder = Path(args["model_repository"]) / args["model_version"]
        self.means = np.load(folder / "means.npy")

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request: any number of pictures of 8 by 8 points from 0 to 16."""
        return [self.answer(request) for request in requests]

    def answer(self, request: Any) -> Any:  # noqa: ANN401 - of Triton's own types
        """Tell the class of each picture, and how far it is from each."""
        pictures = triton.get_input_tensor_by_name(request, "image").as_numpy()
        apart = np.linalg.norm(pictures[:, None, :] - self.means[None], axis=2)
        return triton.InferenceResponse(
            [
                triton.Tensor("class", apart.argmin(axis=1).astype(np.int64)),
                triton.Tensor("distance", apart.astype(np.float32)),
            ]
        )
