"""`xray2xray evaluate downstream`: what latents are worth, against every baseline, on the same patients and labels."""
