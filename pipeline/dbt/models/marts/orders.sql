{{ config(publish='append', watermark='order_id') }}

select
    order_id,
    customer_id,
    region,
    status,
    ordered_at,
    order_date,
    item_count,
    units,
    gross_amount,
    discount_amount,
    total_amount
from {{ ref('int_pending_totals') }}
{% if is_incremental() %}
    where order_id > {{ counted_through(this, 'order_id') }}
{% endif %}
order by order_id
