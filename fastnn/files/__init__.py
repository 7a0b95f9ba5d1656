"""Files: models kept in safetensors, and written as ONNX or C for other programs."""

from fastnn.files.models import check_model as check_model
from fastnn.files.models import check_path as check_path
from fastnn.files.models import load as load
from fastnn.files.models import load_with_fit as load_with_fit
from fastnn.files.models import save as save

__all__ = ["check_model", "check_path", "load", "load_with_fit", "save"]
