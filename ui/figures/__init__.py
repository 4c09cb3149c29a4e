"""Charts: plain values and a palette in, one plotly figure out. Nothing here knows of Streamlit's state."""
