import numpy as np
import pytest

from xray2xray.volume import hu_to_mu, mu_to_hu


def test_known_materials_per_mm() -> None:
    mu = hu_to_mu(np.array([-1000.0, 0.0, 100.0, 1560.0]))
    np.testing.assert_allclose(mu, [0, 0.0206, 0.02266, 0.0605], rtol=2e-3)
    assert mu.dtype == np.float32


def test_never_below_vacuum_and_emphysema_keeps_its_value() -> None:
    mu = hu_to_mu(np.array([-3024.0, -1001.0, -990.0, -960.0]))
    assert (mu[:2] == 0).all()
    np.testing.assert_allclose(mu[2:], [0.0206 * 0.01, 0.0206 * 0.04], rtol=1e-4)


def test_room_air_is_nothing_only_outside_the_body() -> None:
    hu = np.array([-980.0, -980.0, -100.0])
    mu = hu_to_mu(hu, body=np.array([True, False, False]))
    np.testing.assert_allclose(mu, [0.0206 * 0.02, 0, 0.0206 * 0.9], rtol=1e-4)


def test_increases_and_inverts() -> None:
    hu = np.linspace(-1000, 3000, 4001, dtype=np.float32)
    mu = hu_to_mu(hu)
    assert (np.diff(mu) > 0).all()
    np.testing.assert_allclose(mu_to_hu(mu), hu, atol=0.02)
    assert mu_to_hu(np.float32([-0.1])) == -1000


def test_input_is_left_alone() -> None:
    hu = np.float32([-2000, 500])
    hu_to_mu(hu)
    np.testing.assert_array_equal(hu, [-2000, 500])


def test_against_tabulated_cross_sections() -> None:
    xraydb = pytest.importorskip("xraydb", reason="xraydb (dev extra) is the oracle for attenuation")
    per_mm = {"water": ("H2O", 1.0, 0.0), "cortical bone (ICRU 44)": (None, 1.92, 1560.0)}
    formula, density, hu = per_mm["water"]
    water = xraydb.material_mu(formula, 60_000, density=density) / 10
    assert hu_to_mu(np.float32([hu]))[0] == pytest.approx(water, rel=0.01)
    # mass fractions of ICRU 44 cortical bone
    fractions = {"H": 0.034, "C": 0.155, "N": 0.042, "O": 0.435, "Na": 0.001, "Mg": 0.002, "P": 0.103, "S": 0.003,
                 "Ca": 0.225}  # fmt: skip
    bone = 1.92 * sum(f * xraydb.mu_elam(element, 60_000) for element, f in fractions.items()) / 10
    assert hu_to_mu(np.float32([1560]))[0] == pytest.approx(bone, rel=0.02)
