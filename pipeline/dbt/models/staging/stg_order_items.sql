select
    order_item_id,
    order_id,
    product_id,
    quantity,
    unit_price,
    discount_amount,
    line_amount
from {{ source('bronze', 'order_items') }}
