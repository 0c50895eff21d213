# ruff: noqa  (read by Python 3.7 too)
"""Op cases of one and two arguments element by element, and of sums over axes. The inputs are those of opcases.py."""


def _calls(template, names):
    return [template.format(n) for n in names.split()]


CASES = {}

CASES["unary"] = (
    _calls(
        "tf.{}(x)",
        "abs negative square sign exp expm1 sigmoid tanh sin cos tan atan sinh cosh asinh erf erfc floor ceil "
        "rint round identity stop_gradient to_double to_int32 to_float is_nan is_inf is_finite reciprocal",
    )
    + _calls("tf.{}(pos)", "log log1p sqrt rsqrt lgamma digamma acosh")[:6]
    + ["tf.acosh(pos + 1.)"]
    + _calls("tf.{}(unit)", "asin acos atanh")
    + _calls("tf.{}(i)", "abs negative square sign to_float to_int64")
    + _calls("tf.{}(d)", "exp log1p tanh sigmoid erf lgamma digamma")
    + _calls("tf.{}(c)", "abs real imag conj angle exp square negative")
    + _calls("tf.nn.{}(x)", "relu relu6 elu selu crelu leaky_relu softplus softsign tanh sigmoid softmax log_softmax")
    + _calls("tf.math.{}(pos)", "bessel_i0 bessel_i1 bessel_i0e bessel_i1e")
    + [
        "tf.logical_not(b)",
        "tf.invert_permutation([2, 0, 1])",
        "-x",
        "abs(x)",
        "tf.log_sigmoid(x)",
        "tf.cast(x, tf.int32)",
        "tf.cast(i, tf.bool)",
        "tf.cast(b, tf.float32)",
        "tf.cast(x, tf.float16)",
        "tf.saturate_cast(x * 300., tf.uint8)",
        "tf.bitcast(x, tf.int32)",
        "tf.nn.l2_loss(x)",
        "tf.nn.softmax(x, axis=0)",
        "tf.nn.softmax(t3, dim=1)",
        "tf.nn.log_softmax(t3, axis=1)",
        "tf.nn.l2_normalize(x, 1)",
        "tf.nn.l2_normalize(x, [0, 1])",
        "tf.nn.leaky_relu(x, alpha=0.3)",
        "tf.check_numerics(x, 'm')",
        "tf.math.polyval([x, y, 2. * x], 1.5)",
        "tf.nn.swish(x)",
        "tf.math.reciprocal_no_nan(x)",
        "tf.nn.zero_fraction(tf.nn.relu(x))",
        "tf.clip_by_value(x, -0.5, 0.5)",
        "tf.clip_by_norm(x, 1.0)",
        "tf.clip_by_norm(x, 1.0, axes=[1])",
        "tf.clip_by_average_norm(x, 0.1)",
        "tf.clip_by_global_norm([x, None, y], 1.5)",
        "tf.global_norm([x, y])",
    ]
)

_BINARY = "add subtract multiply divide div truediv realdiv maximum minimum squared_difference floordiv floor_div floormod mod"
CASES["binary"] = (
    _calls("tf.{}(x, y)", _BINARY + " atan2 div_no_nan")
    + _calls(
        "tf.{}(i, j)",
        "add subtract multiply divide div truediv maximum minimum floordiv floormod mod truncatediv truncatemod squared_difference",
    )
    + _calls("tf.{}(x, v)", "add multiply maximum squared_difference subtract")
    + _calls("tf.{}(x, k)", "add pow multiply")[:1]
    + [
        f"tf.{op}({args})"
        for op in ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"]
        for args in ("x, y", "i, j", "i, 3")
    ]
    + [
        "tf.logical_and(b, b2)",
        "tf.logical_or(b, b2)",
        "tf.logical_xor(b, b2)",
        "tf.pow(pos, y)",
        "tf.pow(i, 3)",
        "tf.pow(2., x)",
        "x + y",
        "x - 1",
        "2 * x",
        "x / y",
        "i / j",
        "i // j",
        "i % j",
        "x // y",
        "x % y",
        "pos ** 2",
        "2. ** x",
        "x > 0",
        "i <= 3",
        "1 - x",
        "b & b2",
        "b | b2",
        "b ^ b2",
        "~b",
        "x + v",
        "t3 * v",
        "tf.zeta(pos + 1., pos)",
        "tf.polygamma(2., pos)",
        "tf.igamma(pos, pos)",
        "tf.igammac(pos, pos)",
        "tf.betainc(pos, pos, tf.sigmoid(x))",
        "tf.lbeta(pos)",
        "tf.complex(x, y)",
        "c * c",
        "c + c",
        "tf.add_n([x, y, x])",
        "tf.accumulate_n([x, y])",
        "tf.scalar_mul(3., x)",
        "tf.cross(t3[0, :, :3], t3[1, :, :3])",
        "tf.math.xlogy(x, pos)",
        "tf.math.xdivy(x, pos)",
        "tf.math.multiply_no_nan(x, y)",
        "x[0] + tf.reshape(y[:, 0], [3, 1])",
        "unknown(x) + v",
        "norank(x) + v",
        "unknown(x) * unknown(y)",
        "tf.bitwise.bitwise_and(i, j)",
        "tf.bitwise.bitwise_or(i, j)",
        "tf.bitwise.bitwise_xor(i, j)",
        "tf.bitwise.invert(i)",
        "tf.bitwise.left_shift(i, [1, 2, 3, 1])",
        "tf.bitwise.right_shift(i, [1, 2, 3, 1])",
        "tf.floordiv(7, -2)",
        "tf.mod(-7, 3)",
        "tf.where(b, x, y)",
        "tf.where(mask, x, y)",
        "tf.where(b)",
        "tf.where_v2(mask[:, None], x, 0.)",
        "tf.math.nextafter(d, 1.)",
        "tf.math.bincount(ids)",
        "tf.bincount(ids, minlength=5)",
    ]
)

_AXES = ["", ", 0", ", axis=1", ", axis=[0, 1]", ", axis=-1, keepdims=True", ", axis=[]"]
CASES["reduce"] = (
    [
        f"tf.reduce_{op}(x{a})"
        for op in ("sum", "mean", "max", "min", "prod", "logsumexp", "std", "variance")
        for a in _AXES
        if op not in ("std", "variance")
    ]
    + [f"tf.math.reduce_{op}(x{a})" for op in ("std", "variance") for a in _AXES[:5]]
    + [f"tf.reduce_{op}(b{a})" for op in ("all", "any") for a in _AXES]
    + [f"tf.reduce_sum(i{a})" for a in _AXES]
    + [
        "tf.reduce_mean(i)",
        "tf.reduce_max(i, 1)",
        "tf.reduce_sum(x, reduction_indices=[1])",
        "tf.reduce_mean(x, 1, keep_dims=True)",
        "tf.reduce_sum(unknown(x), 0)",
        "tf.reduce_sum(norank(x))",
        "tf.reduce_sum(norank(x), 1)",
        "tf.reduce_sum(unknown(x), tf.constant([1]))",
        "tf.argmax(x, 1)",
        "tf.argmax(x, 0)",
        "tf.argmin(x, axis=1)",
        "tf.argmax(x, dimension=1)",
        "tf.argmax(x)",
        "tf.arg_max(x, 1)",
        "tf.argmax(x, 1, output_type=tf.int32)",
        "tf.cumsum(x)",
        "tf.cumsum(x, axis=1, exclusive=True)",
        "tf.cumsum(x, axis=1, reverse=True)",
        "tf.cumprod(x, axis=1)",
        "tf.cumprod(x, axis=0, exclusive=True, reverse=True)",
        "tf.math.cumulative_logsumexp(x, axis=1)",
        "tf.count_nonzero(i)",
        "tf.count_nonzero(i, axis=1)",
        "tf.norm(x)",
        "tf.norm(x, axis=1)",
        "tf.norm(x, ord=1, axis=0, keepdims=True)",
        "tf.norm(x, ord=np.inf, axis=1)",
        "tf.nn.moments(x, [0])",
        "tf.nn.moments(t3, [0, 1], keep_dims=True)",
        "tf.nn.weighted_moments(x, [0], pos)",
        "tf.nn.sufficient_statistics(x, [0])[:3]",
        "tf.segment_sum(x, seg)",
        "tf.segment_mean(x, seg)",
        "tf.segment_max(x, seg)",
        "tf.segment_min(x, seg)",
        "tf.segment_prod(x, seg)",
        "tf.unsorted_segment_sum(x, [1, 0, 1], 3)",
        "tf.unsorted_segment_mean(x, [1, 0, 1], 3)",
        "tf.unsorted_segment_max(x, [1, 0, 1], 3)",
        "tf.unsorted_segment_min(x, [1, 0, 1], 2)",
        "tf.unsorted_segment_prod(x, [1, 0, 1], 2)",
        "tf.unsorted_segment_sqrt_n(x, [1, 0, 1], 2)",
        "tf.sparse_segment_sum(x, [0, 2, 1], [0, 0, 1])",
        "tf.sparse_segment_mean(x, [0, 2, 1], [0, 0, 2])",
        "tf.sparse_segment_sqrt_n(x, [0, 2, 1], [0, 0, 1])",
        "tf.nn.in_top_k(probs, labels, 2)",
        "tf.nn.top_k(x, 2)",
        "tf.nn.top_k(i, k=3, sorted=False)[0]",
        "tf.confusion_matrix([1, 0, 2], [1, 1, 2])",
        "tf.math.confusion_matrix([1, 0], [1, 1], num_classes=3, weights=[2, 5])",
        "tf.histogram_fixed_width(x, [-1., 1.], nbins=5)",
        "tf.math.in_top_k(probs, labels, 1)",
        "tf.contrib.framework.argsort(x)",
        "tf.sort(x, direction='DESCENDING')",
        "tf.argsort(x, axis=0)",
        "tf.searchsorted([1., 3., 5.], [0.5, 3., 9.])",
        "tf.searchsorted([1., 3., 5.], [0.5, 3., 9.], side='right')",
        "tf.nn.normalize_moments(3., [2., 4.], [5., 9.], None)",
    ]
)
