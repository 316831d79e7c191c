"""The words that no name in a shader may be."""

_KEYWORDS = """
alias break case const const_assert continue continuing default diagnostic discard else enable
false fn for if let loop override requires return struct switch true var while
"""

_RESERVED = """
NULL Self abstract active alignas alignof as asm asm_fragment async attribute auto await become
cast catch class co_await co_return co_yield coherent column_major common compile
compile_fragment concept const_cast consteval constexpr constinit crate debugger decltype delete
demote demote_to_helper do dynamic_cast enum explicit export extends extern external fallthrough
filter final finally friend from fxgroup get goto groupshared highp impl implements import inline
instanceof interface layout lowp macro macro_rules match mediump meta mod module move mut mutable
namespace new nil noexcept noinline nointerpolation non_coherent noncoherent noperspective null
nullptr of operator package packoffset pass patch pixelfragment precise precision premerge priv
protected pub public readonly ref regardless register reinterpret_cast require resource restrict
self set shared sizeof smooth snorm static static_assert static_cast std subroutine super target
template this thread_local throw trait try type typedef typeid typename typeof union unless unorm
unsafe unsized use using varying virtual volatile wgsl where with writeonly yield
"""

# Legal as names, but the builtin of that name could then not be called in their scope.
_PREDECLARED = """
abs acos acosh all any array arrayLength asin asinh atan atan2 atanh atomic atomicAdd atomicAnd
atomicCompareExchangeWeak atomicExchange atomicLoad atomicMax atomicMin atomicOr atomicStore
atomicSub atomicXor bitcast bool ceil clamp cos cosh countLeadingZeros countOneBits
countTrailingZeros cross degrees determinant distance dot dot4I8Packed dot4U8Packed exp exp2
extractBits f16 f32 faceForward firstLeadingBit firstTrailingBit floor fma fract frexp function
i32 insertBits inverseSqrt ldexp length log log2 main mat2x2 mat2x3 mat2x4 mat3x2 mat3x3 mat3x4
mat4x2 mat4x3 mat4x4 max min mix modf normalize pack2x16float pack2x16snorm pack2x16unorm
pack4x8snorm pack4x8unorm pack4xI8 pack4xU8 pow private ptr quantizeToF16 radians read read_write
reflect refract reverseBits round sampler saturate select sign sin sinh smoothstep sqrt step
storage storageBarrier subgroupAdd subgroupAll subgroupAnd subgroupAny subgroupBallot
subgroupBroadcast subgroupBroadcastFirst subgroupElect subgroupExclusiveAdd subgroupExclusiveMul
subgroupInclusiveAdd subgroupInclusiveMul subgroupMax subgroupMin subgroupMul subgroupOr
subgroupShuffle subgroupShuffleDown subgroupShuffleUp subgroupShuffleXor subgroupXor tan tanh
transpose trunc u32 uniform unpack2x16float unpack2x16snorm unpack2x16unorm unpack4x8snorm
unpack4x8unorm unpack4xI8 unpack4xU8 vec2 vec3 vec4 vec2f vec3f vec4f vec2h vec3h vec4h vec2i
vec3i vec4i vec2u vec3u vec4u workgroup workgroupBarrier workgroupUniformLoad write
"""

RESERVED = frozenset(f"{_KEYWORDS} {_RESERVED} {_PREDECLARED}".split())
"""Keywords, reserved words (WGSL specification, 15) and predeclared names."""
