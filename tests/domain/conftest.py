from hypothesis import settings

# An example's time says how busy the machine is; what has to be fast has a test of its own.
settings.register_profile("aitui", deadline=None)
settings.load_profile("aitui")
