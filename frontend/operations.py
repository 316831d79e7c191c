"""All public operations, by their names in the Python Array API where it has them."""

from stepwell.frontend.creation import (
    arange,
    eye,
    full,
    full_like,
    linspace,
    meshgrid,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from stepwell.frontend.elementwise import *
from stepwell.frontend.reductions import *
from stepwell.frontend.shaping import *
from stepwell.frontend.indexing import *
