from my_forecast.models import Forecaster

import litune


class Mine(Forecaster):
    pass


litune.search(model=Mine, space={"model.units": [4, 8]}, metric="forecast/rmse")
