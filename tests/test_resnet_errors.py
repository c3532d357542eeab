"""A bad argument is refused with its name, its value and what is accepted."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from resnet_cases import shapes, tiny

import flax_models


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"stem": "patch"}, ValueError, r"stem='patch' .*'imagenet', 'cifar'"),
        ({"padding": "VALID"}, ValueError, r"padding='VALID' .*'torch', 'SAME'"),
        ({"shortcut": "A"}, ValueError, r"shortcut='A' .*'projection', 'pad'"),
        ({"norm": "layer"}, ValueError, r"norm='layer' .*'batch', 'group'"),
        ({"norm": None}, TypeError, r"norm=None .*'batch', 'group'"),
        ({"norm": nn.LayerNorm()}, TypeError, r"norm=LayerNorm"),
        ({"stage_sizes": ()}, ValueError, r"stage_sizes=\(\).*positive integers"),
        ({"stage_sizes": (2, 0)}, ValueError, r"stage_sizes=\(2, 0\)"),
        ({"stage_sizes": 3}, ValueError, r"stage_sizes=3"),
        ({"block": "basic"}, TypeError, r"block='basic'.*block classes"),
        ({"block": nn.Dense}, TypeError, r"block=.*Dense.*block classes"),
        ({"width": 0}, ValueError, r"width=0.*positive integers"),
        ({"num_classes": 0}, ValueError, r"num_classes=0.*positive integers, or None"),
        ({"num_classes": 2.0}, ValueError, r"num_classes=2\.0"),
        ({"dtype": jnp.int32}, ValueError, r"dtype=.*int32.*float"),
        ({"param_dtype": "half a float"}, TypeError, r"param_dtype='half a float'"),
    ],
)
def test_a_bad_setting_is_refused_when_the_model_is_made(settings, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        tiny(**settings)


def test_a_norm_factory_that_makes_no_module_is_refused():
    with pytest.raises(TypeError, match=r"norm=.* returned int; accepted are"):
        shapes(tiny(norm=lambda: 3), jnp.zeros((1, 8, 8, 1)))


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((8, 8, 1), "float32", r"shape \(8, 8, 1\).*\[batch, height, width, chan"),
        ((1, 1, 8, 8, 1), "float32", r"shape \(1, 1, 8, 8, 1\)"),
        ((1, 8, 8, 1), "uint8", r"dtype uint8.*floats.*/ 255"),
        ((1, 8, 8, 1), "bool", r"dtype bool.*floats"),
        ((1, 8, 1, 1), "float32", r"shape \(1, 8, 1, 1\).*at least 2"),
    ],
)
def test_images_that_do_not_fit_are_refused(shape, dtype, message):
    with pytest.raises(ValueError, match=f"images have {message}"):
        shapes(tiny(), jnp.zeros(shape, dtype))


def test_a_small_image_for_the_large_stem_learns_of_the_small_one():
    model = flax_models.ResNet18(activation=jax.nn.relu)
    with pytest.raises(ValueError, match=r"at least 32 or stem='cifar'"):
        shapes(model, jnp.zeros((1, 28, 28, 1)))
    shapes(model, jnp.zeros((1, 32, 32, 1)))
    shapes(model.clone(stem="cifar"), jnp.zeros((1, 28, 28, 1)))


def test_an_unknown_model_gets_the_nearest_names():
    with pytest.raises(ValueError, match=r"name='resnet19'.*mean 'resnet1.*resnet152"):
        flax_models.get("resnet19")


def test_a_model_name_that_is_no_string_is_refused():
    with pytest.raises(TypeError, match=r"name=18; accepted are resnet18"):
        flax_models.get(18)


def test_an_unknown_setting_of_a_named_model_is_named():
    with pytest.raises(TypeError, match="'classes'"):
        flax_models.ResNet18(classes=10)
