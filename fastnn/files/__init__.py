"""Files: models kept in safetensors, and written as ONNX or C for other programs."""

from fastnn.files.models import load as load
from fastnn.files.models import save as save
