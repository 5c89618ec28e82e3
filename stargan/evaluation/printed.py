"""What the paper prints (Choi et al., StarGAN, CVPR 2018, tables 1 and 3); never our figures."""

from __future__ import annotations

PREFERENCE = {
    "DIAT": {"Hair": 0.093, "Male": 0.314, "Young": 0.069},
    "CycleGAN": {"Hair": 0.200, "Male": 0.166, "Young": 0.133},
    "IcGAN": {"Hair": 0.045, "Male": 0.129, "Young": 0.092},
    "StarGAN": {"Hair": 0.662, "Male": 0.391, "Young": 0.706},
}
"""Share of people's votes for the best of four, CelebA, by what was changed (gender, age)."""
ERROR = {"DIAT": 0.0410, "CycleGAN": 0.0599, "IcGAN": 0.0807, "StarGAN": 0.0212}
"""Classification error on RaFD."""
REAL_ERROR = 0.0045
"""The same of real images."""
PARAMETERS = {
    "DIAT": "52.6M x 7", "CycleGAN": "52.6M x 14", "IcGAN": "67.8M x 1", "StarGAN": "53.2M x 1"
}  # fmt: skip
"""Parameters of one model, and how many models eight expressions take."""
