"""What happens inside a network: arrays, and the figures that draw them."""

# Three functions have the name of their file. They are imported here at once, since a file that is imported
# later would take the place of its function in this package.
from unrolled.insight.exponents import Lyapunov, lyapunov
from unrolled.insight.gates import gates, state_names
from unrolled.insight.gradient import GradientThroughTime, Verdict, gradient_through_time
from unrolled.insight.jacobian import JacobianSpectrum, jacobian_spectrum
from unrolled.insight.radius import spectral_radius
from unrolled.insight.saturation import Saturation, saturation
from unrolled.insight.units import Unit, units

__all__ = [
    "GradientThroughTime",
    "JacobianSpectrum",
    "Lyapunov",
    "Saturation",
    "Unit",
    "Verdict",
    "gates",
    "gradient_through_time",
    "jacobian_spectrum",
    "lyapunov",
    "saturation",
    "spectral_radius",
    "state_names",
    "units",
]
