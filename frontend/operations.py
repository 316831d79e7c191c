"""All public operations, by their names in the Python Array API where it has them.

Each family's module lists its own.
"""

from stepwell.frontend import (
    activations,
    attention,
    contractions,
    control,
    convolution,
    creation,
    detection,
    elementwise,
    functions,
    indexing,
    linalg,
    losses,
    normalization,
    pooling,
    quantization,
    reductions,
    sampling,
    scans,
    scattering,
    selection,
    shaping,
    sorting,
    windows,
)
from stepwell.frontend.activations import *
from stepwell.frontend.attention import *
from stepwell.frontend.contractions import *
from stepwell.frontend.control import *
from stepwell.frontend.convolution import *
from stepwell.frontend.creation import *
from stepwell.frontend.detection import *
from stepwell.frontend.elementwise import *
from stepwell.frontend.functions import *
from stepwell.frontend.indexing import *
from stepwell.frontend.linalg import *
from stepwell.frontend.losses import *
from stepwell.frontend.normalization import *
from stepwell.frontend.pooling import *
from stepwell.frontend.quantization import *
from stepwell.frontend.reductions import *
from stepwell.frontend.sampling import *
from stepwell.frontend.scans import *
from stepwell.frontend.scattering import *
from stepwell.frontend.selection import *
from stepwell.frontend.shaping import *
from stepwell.frontend.sorting import *
from stepwell.frontend.transformations import stop_gradient
from stepwell.frontend.windows import *

__all__ = ["stop_gradient"]
__all__ += activations.__all__
__all__ += attention.__all__
__all__ += contractions.__all__
__all__ += control.__all__
__all__ += convolution.__all__
__all__ += creation.__all__
__all__ += detection.__all__
__all__ += elementwise.__all__
__all__ += functions.__all__
__all__ += indexing.__all__
__all__ += linalg.__all__
__all__ += losses.__all__
__all__ += normalization.__all__
__all__ += pooling.__all__
__all__ += quantization.__all__
__all__ += reductions.__all__
__all__ += sampling.__all__
__all__ += scans.__all__
__all__ += scattering.__all__
__all__ += selection.__all__
__all__ += shaping.__all__
__all__ += sorting.__all__
__all__ += windows.__all__
