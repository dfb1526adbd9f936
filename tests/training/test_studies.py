from xray2xray.training.studies import held_out_at_the_end


def test_a_patient_is_never_on_both_sides():
    assert held_out_at_the_end([f"p{n}" for n in range(20)], 3) == 3
    assert held_out_at_the_end([f"p{n}" for n in range(10)], 3) == 2
    assert held_out_at_the_end([*"abcdefghijk", *["z"] * 9], 3) == 9
    assert held_out_at_the_end(["z"] * 20, 3) == 0
    assert held_out_at_the_end(["a"], 3) == 0
